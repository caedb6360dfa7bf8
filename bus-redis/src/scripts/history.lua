-- After the server was restarted or replaced: whether its history still holds the last entry that was read.
-- KEYS: stream, and for a group its lease. ARGV: that entry's id, whether single entries may be gone (1 or 0), the group.
local stream = info(KEYS[1])
if not stream then return { 'GONE' } end
-- Who has read them need not be who gains the partition: the lease keeps what is gone, for its owner to be told.
local function back(kept)
  local known = KEYS[2] and (redis.call('EXISTS', KEYS[2]) == 1 or group_of(KEYS[1], ARGV[3]))
  if not known then return { 'BACK', kept } end
  local lease = redis.call('HMGET', KEYS[2], 'gone', 'heard')
  local heard, from = lease[2] or '0-0', kept
  if not before(heard, ARGV[1]) then return { 'BACK', kept } end
  if before(from, heard) then from = heard end
  -- Another reader of the same history may have come further.
  local ranges, found = {}, false
  for first, last in string.gmatch(lease[1] or '', '(%S+) (%S+)') do
    if first == from then
      found = true
      if before(last, ARGV[1]) then last = ARGV[1] end
    end
    ranges[#ranges + 1] = first .. ' ' .. last
  end
  if not found then ranges[#ranges + 1] = from .. ' ' .. ARGV[1] end
  redis.call('HSET', KEYS[2], 'gone', table.concat(ranges, ' '))
  return { 'BACK', kept }
end
local tip = stream['last-generated-id']
if before(tip, ARGV[1]) then
  -- Nobody may be given these ids a second time: who has read them would take new entries for old ones.
  redis.call('XSETID', KEYS[1], ARGV[1])
  return back(tip)
end
local found = redis.call('XREVRANGE', KEYS[1], ARGV[1], '-', 'COUNT', 1)[1]
local last = found and found[1] or '0-0'
if last == ARGV[1] or stream['length'] == 0 or ARGV[2] == '1' then return { 'OK' } end
if before(ARGV[1], stream['recorded-first-entry-id']) then return { 'OK' } end
if not before(stream['max-deleted-entry-id'], ARGV[1]) then return { 'OK' } end
return back(last)
