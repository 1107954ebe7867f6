-- Counts a member of a chord's header, in the keys that Celery's workers use.
-- KEYS: results (.j), added (.t), size (.s), counted (.d), the group, claim (.c), which
-- results nodes added.
-- ARGV: who ("id:place"), the entry, its place, whether results are kept in order (1),
-- seconds to live (0: for ever), seconds to claim, seconds that a saved group lives.
-- Answers with {0, entries, saved group} to the one who counted last, each time it counts:
-- its answer or its node may have been lost. To others with {1, nil, nil} while the body
-- is claimed and not sent, else with {0, nil, nil}.
local claim = redis.call('GET', KEYS[6])
if claim == 'done' then
  return {0, false, false}
end
local ordered = ARGV[4] == '1'
-- Who counts comes last: no error may leave a member that counts without an entry.
if redis.call('SISMEMBER', KEYS[4], ARGV[1]) == 0 then
  if ordered then
    redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2])
  else
    redis.call('RPUSH', KEYS[1], ARGV[2])
  end
  redis.call('SADD', KEYS[4], ARGV[1])
end
if ARGV[5] ~= '0' then
  for _, i in ipairs({1, 2, 3, 4, 7}) do
    redis.call('EXPIRE', KEYS[i], ARGV[5])
  end
end
if ARGV[7] ~= '0' then
  redis.call('EXPIRE', KEYS[5], ARGV[7])
end
local size = redis.call('GET', KEYS[3])
if not size then
  return {0, false, false}
end
local expected = tonumber(size) + tonumber(redis.call('GET', KEYS[2]) or '0')
if redis.call(ordered and 'ZCARD' or 'LLEN', KEYS[1]) ~= expected then
  return {0, false, false}
end
if claim and claim ~= ARGV[1] then
  return {1, false, false}
end
redis.call('SET', KEYS[6], ARGV[1], 'EX', ARGV[6])
local entries = redis.call(ordered and 'ZRANGE' or 'LRANGE', KEYS[1], 0, -1)
return {0, entries, redis.call('GET', KEYS[5])}
