-- Lets a chord's header wait for one more result, or no longer for one.
-- KEYS: added (.t), which of these nodes added. ARGV: the id of what is added, 1 or -1,
-- seconds to live (0: for ever).
-- Who ends the chord may know of the first key only: without it the other is left over.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2])
end
if redis.call(ARGV[2] == '1' and 'SADD' or 'SREM', KEYS[2], ARGV[1]) == 1 then
  redis.call('INCRBY', KEYS[1], ARGV[2])
end
if ARGV[3] ~= '0' then
  redis.call('EXPIRE', KEYS[1], ARGV[3])
  redis.call('EXPIRE', KEYS[2], ARGV[3])
end
return 1
