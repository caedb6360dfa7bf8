-- What the ends of a stream are. KEYS: stream.
local stream = info(KEYS[1])
if not stream then return { 'GONE' } end
return { 'OK', facts(stream) }
