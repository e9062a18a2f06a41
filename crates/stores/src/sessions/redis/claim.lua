local row = live()
if not row then return {0} end
if row[1] ~= ARGV[4] or (row[9] and tonumber(row[9]) > now) then return answer(2, row) end
local ends = math.min(now + tonumber(ARGV[6]), 9007199254740991)
redis.call('HSET', name, 'owner', ARGV[5], 'lease', text(ends))
redis.call('HINCRBY', name, 'version', 1)
return answer(1, fields())
