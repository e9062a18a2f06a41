redis.call('ZREMRANGEBYSCORE', name, '-inf', text(now))
local found = {}
for _, key in ipairs(redis.call('ZRANGE', name, 0, -1)) do
  -- A row may be gone otherwise: evicted, or removed by hand.
  if redis.call('EXISTS', rows .. key) == 1 then
    found[#found + 1] = key
  else
    redis.call('ZREM', name, key)
  end
end
return found
