-- Gives a lease up, marked clean: the next owner need not wait.
-- KEYS: lease. ARGV: member, epoch.
local lease = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if lease[1] ~= ARGV[1] or lease[2] ~= ARGV[2] then return { 'FENCED' } end
redis.call('HSET', KEYS[1], 'owner', '', 'clean', 1)
return { 'OK' }
