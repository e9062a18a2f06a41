if live() then return 0 end
local key = ARGV[4]
local row = {'1', ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]}
-- Only where there is something: a server that is full takes what follows a write, and no more refuses it.
if redis.call('EXISTS', name) == 1 then redis.call('DEL', name) end
redis.call('HSET', name, 'version', 1, 'body', row[2], 'subject', row[3], 'tenant', row[4], 'session', row[5],
  'idle', row[6], 'ends', row[7])
index(key, row)
return 1
