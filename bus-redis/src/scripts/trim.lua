-- Removes what is older than the retention, up to the slowest group that is still in use.
-- KEYS: stream, gate, then the lease of each group. ARGV: retention ms, ms after which a group without a member counts
-- as abandoned, ms that lie between two rounds whoever asks, then the groups' names, in the order of their leases.
local stream = info(KEYS[1])
if not stream then return { 'GONE' } end
local now, leases, abandoned = now_ms(), {}, {}
local last = redis.call('GET', KEYS[2])
if last and math.abs(now - last) < tonumber(ARGV[3]) then return { 'EARLY' } end
redis.call('SET', KEYS[2], string.format('%.0f', now), 'PX', 60000)
for i = 4, #ARGV do leases[ARGV[i]] = KEYS[i - 1] end

-- Whether nobody has been there for the whole time.
local function is_abandoned(group, key)
  -- A group that came up since the caller looked has no lease in the list: it is in use.
  if not key then return false end
  local lease = redis.call('HMGET', key, 'seen', 'epoch', 'beat', 'ttl', 'doubt', 'doubted')
  local idle = now - (lease[1] or now)
  -- Nobody of ours has been in it: it counts from now on.
  if not lease[1] then redis.call('HSET', key, 'seen', string.format('%.0f', now)) end
  if idle > tonumber(ARGV[2]) and group['consumers'] > 0 then
    for _, reply in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group['name'])) do
      for i = 1, #reply, 2 do
        if reply[i] == 'idle' then idle = math.min(idle, reply[i + 1]) end
      end
    end
  end
  if idle <= tonumber(ARGV[2]) then return false end
  -- A clock that jumped makes everybody look absent: only who shows no life for a ttl more is.
  local sign = (lease[2] or '') .. ':' .. (lease[3] or '')
  if lease[5] ~= sign then
    redis.call('HSET', key, 'doubt', sign, 'doubted', string.format('%.0f', now))
    return false
  end
  return now - lease[6] > tonumber(lease[4] or 0)
end

local wanted = string.format('%.0f-0', math.max(now - ARGV[1], 0))
local oldest = wanted
for _, reply in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #reply, 2 do group[reply[i]] = reply[i + 1] end
  local position = group['last-delivered-id']
  if before(position, oldest) or before(position, wanted) then
    if is_abandoned(group, leases[group['name']]) then
      abandoned[#abandoned + 1] = group['name']
    elseif before(position, oldest) then
      oldest = position
    end
  end
end
return { 'OK', redis.call('XTRIM', KEYS[1], 'MINID', '~', oldest), unpack(abandoned) }
