-- One write that a full server must still take, or nobody could come to drain it. KEYS: key. ARGV: command, its rest.
return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))
