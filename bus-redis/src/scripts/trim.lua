-- Removes what is older than the retention, up to the slowest group that is still in use.
-- KEYS: stream, then the lease of each group. ARGV: retention ms, ms after which a group counts as forgotten, then
-- the groups' names, in the order of their leases.
local stream = info(KEYS[1])
if not stream or stream['length'] == 0 then return { 'OK', 0 } end
local now, leases, forgotten = now_ms(), {}, {}
for i = 3, #ARGV do leases[ARGV[i]] = KEYS[i - 1] end
local oldest = string.format('%.0f-0', math.max(now - ARGV[1], 0))
for _, reply in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #reply, 2 do group[reply[i]] = reply[i + 1] end
  local last = group['last-delivered-id']
  local lease = leases[group['name']]
  -- A group that came up since the caller looked has no lease in the list: it is in use.
  local seen = now
  if lease then seen = tonumber(redis.call('HGET', lease, 'seen') or string.match(last, '^(%d+)')) end
  if now - seen > tonumber(ARGV[2]) and group['pending'] == 0 then
    if not before(oldest, last) then forgotten[#forgotten + 1] = group['name'] end
  elseif before(last, oldest) then
    oldest = last
  end
end
return { 'OK', redis.call('XTRIM', KEYS[1], 'MINID', '~', oldest), unpack(forgotten) }
