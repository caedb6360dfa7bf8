-- What compaction looks at of a page of entries: id, key with a `=` in front (or nothing), and 1 for a tombstone.
-- KEYS: stream. ARGV: id before the page, entries.
local out = { 'OK' }
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])) do
  local key, tombstone = '', 0
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == 'key' then key = '=' .. fields[i + 1] end
    if fields[i] == 'null' then tombstone = 1 end
  end
  out[#out + 1] = entry[1]
  out[#out + 1] = key
  out[#out + 1] = tombstone
end
return out
