-- Shared by the scripts below it: each is sent as its first line, this file, and its own text.

-- What the server knows of a stream; nil where there is none (or the key is of another type).
local function info(stream)
  local reply = redis.pcall('XINFO', 'STREAM', stream)
  if reply.err then return nil end
  local map = {}
  for i = 1, #reply, 2 do map[reply[i]] = reply[i + 1] end
  return map
end

-- The native consumer group, as a map; nil where there is none.
local function group_of(stream, name)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return nil end
  for _, reply in ipairs(groups) do
    local map = {}
    for i = 1, #reply, 2 do map[reply[i]] = reply[i + 1] end
    if map['name'] == name then return map end
  end
  return nil
end

-- Whether entry id a lies before b. Halves are 64 bits wide, more than a Lua number holds: compare digits.
local function before(a, b)
  local am, as = string.match(a, '^(%d+)-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)-(%d+)$')
  local function less(x, y)
    if #x ~= #y then return #x < #y end
    return x < y
  end
  if am ~= bm then return less(am, bm) end
  return less(as, bs)
end

-- How many entries were ever added up to id, where that follows from the ends of the stream; else -1.
local function entries_read(stream, id)
  if not before(id, stream['last-generated-id']) then return stream['entries-added'] end
  local removed = stream['entries-added'] - stream['length']
  if stream['length'] == 0 or before(id, stream['recorded-first-entry-id']) then return removed end
  return -1
end

-- Makes the group at id (`$`: the end) unless it exists.
local function ensure_group(key, stream, name, id)
  if group_of(key, name) then return end
  if id == '$' then id = stream['last-generated-id'] end
  redis.call('XGROUP', 'CREATE', key, name, id, 'ENTRIESREAD', entries_read(stream, id))
end

-- What an owner compares its count with: entries ever added, entries there, first id, end, newest entry there, and the
-- highest entry that was deleted by itself, which makes counts unreliable.
local function facts(stream)
  local newest = stream['last-entry']
  local first = stream['recorded-first-entry-id']
  if stream['length'] == 0 then first = '' end
  return stream['entries-added'], stream['length'], first, stream['last-generated-id'],
    newest and newest[1] or '',
    stream['max-deleted-entry-id']
end

-- What an owner has to be told of what is gone of its stream, as `history` has left it: pairs of the last id that was kept
-- and the last that is gone. All that no owner has heard of yet, also where the group, which has settled up to last, has
-- passed it; and what lies ahead of the group, as a hole in the log does.
local function hear(lease, gone, last)
  if not gone or gone == '' then return '' end
  local heard = redis.call('HGET', lease, 'heard') or '0-0'
  local stays, told, highest = {}, {}, heard
  for from, to in string.gmatch(gone, '(%S+) (%S+)') do
    if before(highest, to) then highest = to end
    local new = before(heard, to)
    if new or before(last, to) then
      stays[#stays + 1] = from .. ' ' .. to
      if not new and before(from, last) then from = last end
      told[#told + 1] = from .. ' ' .. to
    end
  end
  redis.call('HSET', lease, 'gone', table.concat(stays, ' '), 'heard', highest)
  return table.concat(told, ' ')
end

-- Whether the server's history goes back to this promotion: nothing else tells that it was a replica meanwhile, and has
-- another server's history, under the same run and on the same connection. One that says none has forgotten its last,
-- which it does an hour after its last replica has gone; a promotion never leaves none.
local function kept(promotion)
  local told = redis.call('INFO', 'replication')
  local id, offset = string.match(told, 'master_replid2:(%S+)'), string.match(told, 'second_repl_offset:(%S+)')
  return offset == '-1' or id .. ':' .. offset == promotion
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
