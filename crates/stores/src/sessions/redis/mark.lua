local at, lifetime, first_stays = ARGV[4], tonumber(ARGV[5]), ARGV[6] == '1'
local kept = redis.call('HMGET', name, 'at', 'ends')
local before = kept[1] and tonumber(kept[2]) > now and kept[1]
if before and (first_stays or tonumber(before) > tonumber(at)) then at = before end
local ends = text(math.min(now + lifetime, 9007199254740991))
redis.call('HSET', name, 'at', at, 'ends', ends)
redis.call('PEXPIREAT', name, ends)
return before
