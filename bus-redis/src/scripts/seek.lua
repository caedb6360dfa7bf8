-- Moves an owner's own position under a new epoch, so that nothing of the old one can settle anything.
-- KEYS: lease, stream. ARGV: group, member, epoch, last settled id (`$`: the end; ``: where it is).
local lease = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'notes', 'at', 'gone')
if lease[1] ~= ARGV[2] or lease[2] ~= ARGV[3] then return { 'FENCED' } end
local stream = info(KEYS[2])
local group = group_of(KEYS[2], ARGV[1])
if not stream or not group then return { 'GONE' } end
local last, read, notes = ARGV[4], -1, ''
if last == '' then
  last = group['last-delivered-id']
  read = group['entries-read'] or -1
  if lease[4] == last then notes = lease[3] end
else
  if last == '$' then last = stream['last-generated-id'] end
  read = entries_read(stream, last)
end
local epoch = string.format('%.0f', math.max(tonumber(lease[2]) + 1, now_ms()))
redis.call('XGROUP', 'SETID', KEYS[2], ARGV[1], last, 'ENTRIESREAD', read)
redis.call('HSET', KEYS[1], 'epoch', epoch, 'beat', 0, 'seq', 0, 'last', last, 'notes', notes, 'at', last)
local added, length, first, tip, newest, deleted = facts(stream)
return { 'OK', epoch, last, read, notes, added, length, first, tip, newest, deleted, hear(KEYS[1], lease[5], last) }
