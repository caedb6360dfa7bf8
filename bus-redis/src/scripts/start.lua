-- Fixes where a group begins in one partition. A group that exists keeps its position.
-- KEYS: stream. ARGV: group, id (`$`: the end; ``: only look).
local stream = info(KEYS[1])
if not stream then return { 'GONE' } end
local group = group_of(KEYS[1], ARGV[1])
if group then
  if group['consumers'] > 0 or group['pending'] > 0 then return { 'BUSY', group['consumers'], group['pending'] } end
  return { 'EXISTS' }
end
if ARGV[2] == '' then return { 'NONE' } end
ensure_group(KEYS[1], stream, ARGV[1], ARGV[2])
return { 'OK' }
