-- Writes a topic's descriptor unless it has one, and adds partitions.
-- KEYS: descriptor. ARGV: partitions, grow only (1 or 0), then fields and values.
local have = tonumber(redis.call('HGET', KEYS[1], 'partitions') or '0')
if have == 0 then
  if ARGV[2] == '1' then return { 'MISSING' } end
  redis.call('HSET', KEYS[1], 'partitions', ARGV[1], unpack(ARGV, 3))
  return { 'OK' }
end
if ARGV[2] == '1' then
  if tonumber(ARGV[1]) < have then return { 'FEWER', have } end
  redis.call('HSET', KEYS[1], 'partitions', ARGV[1])
end
return { 'EXISTS', have }
