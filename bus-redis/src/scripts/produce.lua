-- Appends a batch once, however often it is sent.
-- KEYS: marker, stream. ARGV: lowest marker that may be there, this batch's sequence, marker's life in s, then for
-- each entry the number of its words, and the words.
local marker = tonumber(redis.call('GET', KEYS[1]) or '0')
if marker >= tonumber(ARGV[2]) then
  -- A write, so that who waits for its own writes (`WAIT`, `WAITAOF`) waits for this one's.
  redis.call('EXPIRE', KEYS[1], ARGV[3])
  return { 'DUP' }
end
if marker < tonumber(ARGV[1]) then return { 'GAP', marker } end
local kind = redis.call('TYPE', KEYS[2])['ok']
if kind ~= 'stream' then return { 'MISSING', kind } end
local ids, at = { 'OK' }, 4
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  ids[#ids + 1] = redis.call('XADD', KEYS[2], '*', unpack(ARGV, at + 1, at + words))
  at = at + 1 + words
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return ids
