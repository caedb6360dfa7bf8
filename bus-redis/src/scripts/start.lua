-- Fixes where a group begins in one partition. A group that exists keeps its position.
-- KEYS: stream, lease. ARGV: group, id (`$`: the end; ``: only look).
local stream = info(KEYS[1])
if not stream then return { 'GONE' } end
local group = group_of(KEYS[1], ARGV[1])
if group and (group['consumers'] > 0 or group['pending'] > 0) then
  return { 'BUSY', group['consumers'], group['pending'] }
end
if not group then
  -- Where somebody destroyed the group it goes on where it was, unless this is a younger stream of the same name.
  local last = redis.call('HGET', KEYS[2], 'last')
  if last and before(stream['last-generated-id'], last) then last = nil end
  local id = last or ARGV[2]
  if id == '' then return { 'NONE' } end
  ensure_group(KEYS[1], stream, ARGV[1], id)
end
-- Somebody is coming: from now on the group holds back what it has not read.
redis.call('HSET', KEYS[2], 'seen', string.format('%.0f', now_ms()))
return { group and 'EXISTS' or 'OK' }
