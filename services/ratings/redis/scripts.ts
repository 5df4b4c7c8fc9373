import { createHash } from 'node:crypto';

/** A script that Redis runs as a whole, known there by its hash. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/** What is of a wrong type counts as missing. */
const GET = `
local function get(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and value or ''
end
local function begins(text, start)
  return string.sub(text, 1, #start) == start
end`;

/** KEYS: marker, then revision and counts of each subject. Answers their values; of the counts always five. */
export const READ = script(`
local function ask(...)
  local value = redis.pcall(...)
  return (type(value) ~= 'table' or value.err == nil) and value
end
local answer = {}
for n, key in ipairs(KEYS) do
  if n == 1 or n % 2 == 0 then answer[n] = ask('GET', key)
  else answer[n] = ask('HMGET', key, '1', '2', '3', '4', '5') end
end
return answer`);

/**
 * KEYS: marker, refill, then revision and counts of each subject. ARGV: the marker that the store must have, or must be going to have; the refill that
 * must be under way, or empty; how long it may rest then, in ms; 1 to write what is there at the same revision, too; the epoch; then of each subject
 * revision, sum, last change and five counts. Writes what is newer. Answers how many were, or why none may be written.
 * A script that fails in its middle undoes nothing, so the revision goes first and comes last. A Redis that is full refuses a script only at its first
 * write, and only one that needs room: so that is a SET.
 */
export const WRITE = script(`${GET}
local marker, refill, rest, mend, epoch = unpack(ARGV, 1, 5)
if refill ~= '' then
  if get(KEYS[2]) ~= refill then return 'lost' end
elseif get(KEYS[1]) ~= marker and not begins(get(KEYS[2]), marker .. ':') then
  return 'incomplete'
end
local function higher(one, other)
  if #one ~= #other then return #one > #other end
  return one > other
end
local written = 0
for n = 3, #KEYS, 2 do
  local at = 6 + (n - 3) * 4
  local revision = ARGV[at]
  local known, there = string.match(get(KEYS[n]), '^(%w+):(%d+):')
  if known ~= epoch or higher(revision, there) or (mend == '1' and revision == there) then
    redis.call('SET', KEYS[n], '')
    redis.call('DEL', KEYS[n + 1])
    local fields = {}
    for value = 1, 5 do
      local count = ARGV[at + 2 + value]
      if count ~= '0' then
        fields[#fields + 1] = tostring(value)
        fields[#fields + 1] = count
      end
    end
    if #fields > 0 then redis.call('HSET', KEYS[n + 1], unpack(fields)) end
    redis.call('SET', KEYS[n], epoch .. ':' .. revision .. ':' .. ARGV[at + 1] .. ':' .. ARGV[at + 2])
    written = written + 1
  end
end
if refill ~= '' then redis.call('PEXPIRE', KEYS[2], rest) end
return written`);

/** KEYS: marker, refill. ARGV: the marker that the store must have; the refill that may begin; how long it may rest, in ms. */
export const BEGIN = script(`${GET}
local marker, refill, rest = unpack(ARGV)
if get(KEYS[1]) == marker then return 'complete' end
if begins(get(KEYS[2]), marker .. ':') then return 'busy' end
redis.call('SET', KEYS[2], refill, 'PX', rest)
redis.call('DEL', KEYS[1])
return 'begun'`);

/** KEYS: refill, then revision and counts of each subject. ARGV: the refill; how long it may rest; of each subject its revision as it was seen. */
export const REMOVE = script(`${GET}
if get(KEYS[1]) ~= ARGV[1] then return 'lost' end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local removed = 0
for n = 2, #KEYS, 2 do
  if get(KEYS[n]) == ARGV[2 + n / 2] then
    removed = removed + redis.call('DEL', KEYS[n], KEYS[n + 1])
  end
end
return removed`);

/** KEYS: marker, refill. ARGV: the marker; the refill. */
export const FINISH = script(`${GET}
if get(KEYS[2]) ~= ARGV[2] then return 'lost' end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return 'complete'`);
