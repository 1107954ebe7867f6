-- Stores documents, each unless a SUCCESS is there, and tells who listens.
-- KEYS: one per document. ARGV: per document its seconds to live (0: for ever), its
-- body, and the old value that the caller has judged to be no success ('': none).
-- Answers per document: 1 written, 0 a success was there, or the old value when only
-- the caller can tell what it is.
local answers = {}
for i, key in ipairs(KEYS) do
  local ttl, body, judged = ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  local old = redis.pcall('GET', key)
  local answer = 1
  -- Of another type, it is nobody's success; it must not stop the others of the batch.
  if type(old) == 'table' then
    old = false
  end
  if old and old ~= judged then
    if string.sub(old, 1, 20) == '{"status": "SUCCESS"' then
      answer = 0
    elseif string.sub(old, 1, 12) ~= '{"status": "' then
      answer = old
    end
  end
  if answer == 1 then
    if ttl == '0' then
      redis.call('SET', key, body)
    else
      redis.call('SETEX', key, ttl, body)
    end
    redis.call('PUBLISH', key, body)
  end
  answers[i] = answer
end
return answers
