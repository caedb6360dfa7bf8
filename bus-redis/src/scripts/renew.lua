-- Keeps a lease alive and looks whether its stream and group are still there.
-- KEYS: lease, stream. ARGV: group, member, epoch.
local lease = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'gone')
local stream = info(KEYS[2])
if not stream then return { 'GONE' } end
if not group_of(KEYS[2], ARGV[1]) then return { 'NOGROUP' } end
if lease[1] ~= ARGV[2] or lease[2] ~= ARGV[3] then return { 'FENCED' } end
redis.call('HINCRBY', KEYS[1], 'beat', 1)
redis.call('HSET', KEYS[1], 'seen', string.format('%.0f', now_ms()))
-- All of it, also where the group has passed it before anybody could say so.
local gone = lease[3] or ''
hear(KEYS[1], gone, '0-0')
local added, length, first, tip, newest, deleted = facts(stream)
return { 'OK', added, length, first, tip, newest, deleted, gone }
