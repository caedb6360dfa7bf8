-- Stores a position, its notes and the outputs of what it settles: all of it or nothing.
-- KEYS: lease, stream, then each output's stream. ARGV: group, member, epoch, commit sequence, last settled id,
-- entries read or -1, notes, the promotion behind which it was read, then for each output the number of its key, of its
-- words, and the words.
local lease = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'seq', 'last')
if lease[1] ~= ARGV[2] or lease[2] ~= ARGV[3] then return { 'FENCED' } end
-- Read out of a history that this server had before it was a replica of another.
if not kept(ARGV[8]) then return { 'FENCED' } end
local stream = info(KEYS[2])
if not stream then return { 'GONE' } end
if not group_of(KEYS[2], ARGV[1]) then return { 'NOGROUP' } end
-- Also one that arrives late, after later ones.
if tonumber(lease[3]) >= tonumber(ARGV[4]) then
  -- A write, so that who waits for its own writes (`WAIT`, `WAITAOF`) waits for this one's.
  redis.call('HSET', KEYS[1], 'seq', lease[3])
  return { 'DUP', facts(stream) }
end
if before(ARGV[5], lease[4]) then return { 'BACK', lease[4] } end
for i = 3, #KEYS do
  local kind = redis.call('TYPE', KEYS[i])['ok']
  if kind ~= 'stream' then return { 'MISSING', i - 3, kind } end
end
local read = tonumber(ARGV[6])
if not before(ARGV[5], stream['last-generated-id']) then read = stream['entries-added'] end
-- A server refuses a count above what was ever added; its own count is then the better one.
if read > stream['entries-added'] then read = stream['entries-added'] end
redis.call('XGROUP', 'SETID', KEYS[2], ARGV[1], ARGV[5], 'ENTRIESREAD', read)
local at = 9
while at <= #ARGV do
  local words = tonumber(ARGV[at + 1])
  redis.call('XADD', KEYS[2 + tonumber(ARGV[at])], '*', unpack(ARGV, at + 2, at + 1 + words))
  at = at + 2 + words
end
redis.call('HSET', KEYS[1], 'last', ARGV[5], 'notes', ARGV[7], 'at', ARGV[5], 'seq', ARGV[4])
return { 'OK', facts(stream) }
