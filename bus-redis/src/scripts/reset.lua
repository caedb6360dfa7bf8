-- Moves a group from outside. Whoever still thinks it owns the partition is fenced by the new epoch.
-- KEYS: lease, stream. ARGV: group, last settled id (`$`: the end).
local stream = info(KEYS[2])
if not stream then return { 'GONE' } end
local last = ARGV[2]
if last == '$' then last = stream['last-generated-id'] end
ensure_group(KEYS[2], stream, ARGV[1], last)
redis.call('XGROUP', 'SETID', KEYS[2], ARGV[1], last, 'ENTRIESREAD', entries_read(stream, last))
local epoch = math.max(tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0') + 1, now_ms())
redis.call('HSET', KEYS[1], 'owner', '', 'epoch', string.format('%.0f', epoch), 'clean', 1, 'seq', 0,
  'last', last, 'notes', '', 'at', last)
return { 'OK' }
