-- Counts a member of a chord's header, in the keys that Celery's workers use.
-- KEYS: results (.j), added (.t), size (.s), counted (.d), the group, claim (.c).
-- ARGV: who ("id:place"), the entry, its place, whether results are kept in order (1),
-- seconds to live (0: for ever), seconds to claim.
-- Answers with all entries and the saved group to the one who counted last, each time
-- it counts: its answer or its node may have been lost. Else with nothing.
local claim = redis.call('GET', KEYS[6])
if claim == 'done' then
  return false
end
local ordered = ARGV[4] == '1'
if redis.call('SADD', KEYS[4], ARGV[1]) == 1 then
  if ordered then
    redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2])
  else
    redis.call('RPUSH', KEYS[1], ARGV[2])
  end
end
if ARGV[5] ~= '0' then
  for i = 1, 5 do
    redis.call('EXPIRE', KEYS[i], ARGV[5])
  end
end
local size = redis.call('GET', KEYS[3])
if not size then
  return false
end
local expected = tonumber(size) + tonumber(redis.call('GET', KEYS[2]) or '0')
if redis.call(ordered and 'ZCARD' or 'LLEN', KEYS[1]) ~= expected then
  return false
end
if claim and claim ~= ARGV[1] then
  return false
end
redis.call('SET', KEYS[6], ARGV[1], 'EX', ARGV[6])
local entries = redis.call(ordered and 'ZRANGE' or 'LRANGE', KEYS[1], 0, -1)
return {entries, redis.call('GET', KEYS[5])}
