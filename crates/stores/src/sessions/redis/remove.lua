local row = live()
if not row then return {0} end
unindex(ARGV[4], row)
redis.call('DEL', name)
return answer(1, row)
