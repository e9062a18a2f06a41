local row = live()
if row and tonumber(row[6]) < tonumber(ARGV[5]) then
  row[6] = ARGV[5]
  redis.call('HSET', name, 'idle', row[6])
  index(ARGV[4], row)
end
return redis.status_reply('OK')
