-- Takes a lease that is free, ours, or exactly as the contender has seen it for a whole ttl.
-- KEYS: lease, stream. ARGV: group, member, ttl ms, expected owner, epoch, beat, whether the group's start was fixed.
local lease = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'beat', 'last', 'notes', 'at', 'gone')
local owner = lease[1] or ''
if owner ~= '' and owner ~= ARGV[2] then
  if owner ~= ARGV[4] or lease[2] ~= ARGV[5] or lease[3] ~= ARGV[6] then return { 'HELD' } end
end
local stream = info(KEYS[2])
if not stream then return { 'GONE' } end
local group, made = group_of(KEYS[2], ARGV[1]), 0
if not group then
  -- Somebody destroyed the group. Go on where it was, unless this is a younger stream of the same name. Where nobody
  -- knows where it was, nobody guesses; a partition that was added later starts at its beginning.
  if not lease[4] and ARGV[7] == '1' then return { 'NOGROUP' } end
  made = 1
  local last = lease[4] or '0-0'
  if before(stream['last-generated-id'], last) then last = '0-0' end
  ensure_group(KEYS[2], stream, ARGV[1], last)
  group = group_of(KEYS[2], ARGV[1])
end
local now = now_ms()
local epoch = string.format('%.0f', math.max(tonumber(lease[2] or '0') + 1, now))
local last = group['last-delivered-id']
local read = group['entries-read'] or entries_read(stream, last)
-- Notes count only at the position they were written at: after a reset by any tool they are void.
local notes = ''
if lease[6] == last then notes = lease[5] or '' end
redis.call('HSET', KEYS[1], 'owner', ARGV[2], 'epoch', epoch, 'beat', 0, 'ttl', ARGV[3], 'clean', 0, 'seq', 0,
  'last', last, 'notes', notes, 'at', last, 'seen', string.format('%.0f', now))
local added, length, first, tip, newest, deleted = facts(stream)
local gone = hear(KEYS[1], lease[7], last)
return { 'OK', epoch, last, read, notes, added, length, first, tip, newest, deleted, gone, made }
