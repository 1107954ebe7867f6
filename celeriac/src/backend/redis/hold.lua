-- Keeps the claim of the one who counted last, who is about to send the chord's body.
-- KEYS: claim (.c). ARGV: who ("id:place"), seconds to claim.
-- Answers with 0 when somebody else has it or the chord has ended, else with 1: also when
-- all of the chord is gone, since a body that is sent twice beats one that never is.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
