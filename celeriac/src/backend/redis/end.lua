-- Says that a chord's body was sent, so that nobody sends it again.
-- KEYS: claim (.c), then what is counted (.j, .t, additions, .s, .d).
-- ARGV: seconds to remember it.
-- A client that sends the same chord anew takes the claim away first; the new one is not
-- ended with the old. A claim that ran out leaves keys that expire by themselves.
if not redis.call('GET', KEYS[1]) then
  return 0
end
redis.call('DEL', unpack(KEYS, 2))
redis.call('SET', KEYS[1], 'done', 'EX', ARGV[1])
return 1
