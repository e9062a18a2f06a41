local old = live()
if not old then return {0} end
if old[1] ~= ARGV[11] then return answer(2, old) end
local key = ARGV[4]
local row = {old[1], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]}
if tonumber(old[6]) > tonumber(row[6]) then row[6] = old[6] end
unindex(key, old)
redis.call('HSET', name, 'body', row[2], 'subject', row[3], 'tenant', row[4], 'session', row[5],
  'idle', row[6], 'ends', row[7])
redis.call('HINCRBY', name, 'version', 1)
if ARGV[12] ~= '1' then redis.call('HDEL', name, 'owner', 'lease') end
index(key, row)
return {1}
