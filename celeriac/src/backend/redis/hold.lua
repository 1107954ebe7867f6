-- Keeps the claim of the one who counted last, who is about to send the chord's body.
-- KEYS: claim (.c), size (.s). ARGV: who ("id:place"), seconds to claim.
-- Answers with 1, or with 0 when somebody else has it or the chord has ended.
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] or (not holder and redis.call('EXISTS', KEYS[2]) == 1) then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
  return 1
end
return 0
