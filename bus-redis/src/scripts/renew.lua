-- Keeps a lease alive and looks whether its stream and group are still there.
-- KEYS: lease, stream. ARGV: group, member, epoch.
local lease = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
local stream = info(KEYS[2])
if not stream then return { 'GONE' } end
if not group_of(KEYS[2], ARGV[1]) then return { 'NOGROUP' } end
if lease[1] ~= ARGV[2] or lease[2] ~= ARGV[3] then return { 'FENCED' } end
redis.call('HINCRBY', KEYS[1], 'beat', 1)
redis.call('HSET', KEYS[1], 'seen', string.format('%.0f', now_ms()))
return { 'OK', facts(stream) }
