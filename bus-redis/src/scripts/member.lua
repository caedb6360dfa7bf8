-- Shows a member as alive, and answers who is. Only quotas come from this, never ownership, so the server's clock
-- is good enough: a jump moves partitions needlessly, not unsafely.
-- KEYS: table. ARGV: member (`` to look only), ttl ms, host.
local now = now_ms()
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s %s', now, ARGV[2], ARGV[3]))
end
local rows, live = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #rows, 2 do
  local seen, ttl, host = string.match(rows[i + 1], '^(%d+) (%d+) (.*)$')
  if seen and now - seen <= ttl + 0 then
    live[#live + 1] = rows[i]
    live[#live + 1] = host
  elseif ARGV[1] ~= '' and (not seen or now - seen > 10 * ttl) then
    redis.call('HDEL', KEYS[1], rows[i])
  end
end
return live
