-- After the server was restarted or replaced: whether its history still holds the last entry that was read.
-- KEYS: stream. ARGV: that entry's id, whether single entries may be gone (1 or 0).
local stream = info(KEYS[1])
if not stream then return { 'GONE' } end
local tip = stream['last-generated-id']
if before(tip, ARGV[1]) then
  -- Nobody may be given these ids a second time: who has read them would take new entries for old ones.
  redis.call('XSETID', KEYS[1], ARGV[1])
  return { 'BACK', tip }
end
local found = redis.call('XREVRANGE', KEYS[1], ARGV[1], '-', 'COUNT', 1)[1]
local last = found and found[1] or '0-0'
if last == ARGV[1] or stream['length'] == 0 or ARGV[2] == '1' then return { 'OK' } end
if before(ARGV[1], stream['recorded-first-entry-id']) then return { 'OK' } end
if not before(stream['max-deleted-entry-id'], ARGV[1]) then return { 'OK' } end
return { 'BACK', last }
