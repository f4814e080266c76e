-- Run commands that the user may not be allowed to run, each in a form that changes nothing.
-- KEYS: the name of a record that does not exist
-- ARGV: the commands, as a JSON array of arrays of words
-- Returns: {command, error} for each that fails

local failed = {}
for _, words in ipairs(cjson.decode(ARGV[1])) do
  local answer = redis.pcall(unpack(words))
  if type(answer) == 'table' and answer.err then
    failed[#failed + 1] = {words[1], answer.err}
  end
end
return failed
