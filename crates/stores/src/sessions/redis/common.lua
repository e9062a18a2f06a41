local name, indexes, rows = KEYS[1], ARGV[2], ARGV[3]
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function text(number) return string.format('%.0f', number) end
local function fields()
  return redis.call('HMGET', name, 'version', 'body', 'subject', 'tenant', 'session', 'idle', 'ends', 'owner', 'lease')
end
local function live()
  local row = fields()
  if not row[1] or tonumber(row[6]) <= now or tonumber(row[7]) <= now then return nil end
  return row
end
local function answer(state, row) return {state, unpack(row)} end
local function ending(idle, ends) return text(math.min(tonumber(idle), tonumber(ends))) end
local function unindex(key, row)
  for place = 3, 5 do
    if row[place] ~= '' then redis.call('ZREM', indexes .. row[place], key) end
  end
end
local function index(key, row)
  local ends = ending(row[6], row[7])
  redis.call('PEXPIREAT', name, ends)
  for place = 3, 5 do
    if row[place] ~= '' then
      local set = indexes .. row[place]
      redis.call('ZREMRANGEBYSCORE', set, '-inf', text(now))
      redis.call('ZADD', set, ends, key)
      local last = redis.call('ZREVRANGE', set, 0, 0, 'WITHSCORES')
      redis.call('PEXPIREAT', set, text(tonumber(last[2])))
    end
  end
end
