"""The Lua programs of the counters on Redis: each runs alone on the server, so each is atomic.

A bucket is a hash {used `u`, used and held together `t`}; a hold is a hash {owner, expires, step, state, `a:` and bucket →
amount}; live holds stand in one sorted set by their expiry. What surprised us: numbers of Redis' Lua are doubles, exact to
2**53, which is 9,000 US dollars in picodollars. So sums are made by HINCRBY, in 64 bits, read back as text, and compared as
text; no amount is ever a Lua number.

Keys that end: buckets some time after their window, ended holds after `KEPT_US`. Times to live are differences of domain
time, so a replay of the past does not lose them at once.
"""

from __future__ import annotations

_PRELUDE = """
local prefix = KEYS[1]
local function bucket_key(name) return prefix .. 'bucket:' .. name end
local holds = prefix .. 'holds'
local function negative(a) return string.sub(a, 1, 1) == '-' end
local function greater(a, b)
  if negative(a) then return false end
  if #a ~= #b then return #a > #b end
  return a > b
end
local function minus(a)
  if a == '0' then return a end
  if negative(a) then return string.sub(a, 2) end
  return '-' .. a
end
local scratch = prefix .. 'scratch'
local function sum(a, b)
  redis.call('HSET', scratch, 's', a)
  redis.call('HINCRBY', scratch, 's', b)
  local found = redis.call('HGET', scratch, 's')
  redis.call('DEL', scratch)
  return found
end
local function smaller(a, b) if greater(a, b) then return b end return a end
local function level(name)
  local found = redis.call('HMGET', bucket_key(name), 'u', 't')
  return found[1] or '0', found[2] or '0'
end
-- State of a hold as text, or false; its newest step.
local function state_of(key)
  local found = redis.call('HMGET', key, 'state', 'step')
  return found[1], tonumber(found[2] or '0')
end
local function remember_ended(key, name, state, kept_ms)
  redis.call('HSET', key, 'state', state)
  redis.call('ZREM', holds, name)
  redis.call('PEXPIRE', key, kept_ms)
end
-- Count `used` out of a hold in `state`, and give some back: the rule of `stores.counters.holds.moved`.
local function spend(key, state, bucket, used, back)
  local field = 'a:' .. bucket
  local kept = redis.call('HGET', key, field) or '0'
  if kept == '0' and used == '0' then return end
  local covered = smaller(kept, used)
  local left = sum(kept, minus(covered))
  local returned = smaller(left, back)
  if kept ~= '0' then redis.call('HSET', key, field, sum(left, minus(returned))) end
  local place = bucket_key(bucket)
  local there = redis.call('EXISTS', place) == 1
  if state == '2' then
    if not there then covered, returned = '0', '0' end
    redis.call('HINCRBY', place, 'u', used)
    redis.call('HINCRBY', place, 't', used)
    for _, amount in ipairs({covered, returned}) do
      redis.call('HINCRBY', place, 'u', minus(amount))
      redis.call('HINCRBY', place, 't', minus(amount))
    end
  else
    redis.call('HINCRBY', place, 'u', used)
    redis.call('HINCRBY', place, 't', used)
    if there then
      redis.call('HINCRBY', place, 't', minus(covered))
      redis.call('HINCRBY', place, 't', minus(returned))
    end
  end
end
"""

TAKE = (
    _PRELUDE
    + """
-- ARGV: hold, owner, expires_us, step, then bucket, amount, ceiling, ttl_ms (0: none) of each claim.
local hold, owner, expires, step = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local key = prefix .. 'hold:' .. hold
local state, newest = state_of(key)
if state and state ~= '0' then return {'ended'} end
if state and step > 0 and step <= newest then return {'ok'} end
for i = 5, #ARGV, 4 do
  local place = bucket_key(ARGV[i])
  local there = redis.call('EXISTS', place) == 1
  redis.call('HINCRBY', place, 't', ARGV[i + 1])
  if greater(redis.call('HGET', place, 't'), ARGV[i + 2]) then
    if there then redis.call('HINCRBY', place, 't', minus(ARGV[i + 1])) else redis.call('DEL', place) end
    for j = 5, i - 4, 4 do redis.call('HINCRBY', bucket_key(ARGV[j]), 't', minus(ARGV[j + 1])) end
    for j = 5, i - 4, 4 do
      local found = redis.call('HMGET', bucket_key(ARGV[j]), 'u', 't')
      if found[2] == '0' and not found[1] then redis.call('DEL', bucket_key(ARGV[j])) end
    end
    local used, all = level(ARGV[i])
    return {'short', tostring((i - 5) / 4), used, all}
  end
end
for i = 5, #ARGV, 4 do
  local place = bucket_key(ARGV[i])
  if ARGV[i + 1] == '0' then
    local found = redis.call('HMGET', place, 'u', 't')
    if found[2] == '0' and not found[1] then redis.call('DEL', place) end
  else
    redis.call('HINCRBY', key, 'a:' .. ARGV[i], ARGV[i + 1])
    if ARGV[i + 3] == '0' then redis.call('PERSIST', place) else redis.call('PEXPIRE', place, ARGV[i + 3]) end
  end
end
if not state then redis.call('HSET', key, 'state', '0', 'owner', owner) end
if step > newest then redis.call('HSET', key, 'step', ARGV[4]) end
redis.call('ZADD', holds, 'GT', expires, hold)
return {'ok'}
"""
)

SPEND = (
    _PRELUDE
    + """
-- ARGV: hold, step, kept_ms, `spend` or `settle`, then bucket, used, back of each.
local hold, step, kept_ms, ends = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] == 'settle'
local key = prefix .. 'hold:' .. hold
local state, newest = state_of(key)
if not state then
  state = '3'
  redis.call('HSET', key, 'state', '3', 'owner', '')
  redis.call('PEXPIRE', key, kept_ms)
end
if ends and state == '1' then return 0 end
if step > 0 and step <= newest then return 0 end
if step > 0 then redis.call('HSET', key, 'step', ARGV[2]) end
for i = 5, #ARGV, 3 do spend(key, state, ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
if ends then
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 2) == 'a:' then
      if state == '0' then spend(key, state, string.sub(fields[i], 3), '0', fields[i + 1]) end
      redis.call('HDEL', key, fields[i])
    end
  end
  remember_ended(key, hold, '1', kept_ms)
end
return 1
"""
)

RENEW = (
    _PRELUDE
    + """
if state_of(prefix .. 'hold:' .. ARGV[1]) ~= '0' then return 0 end
redis.call('ZADD', holds, 'GT', ARGV[2], ARGV[1])
return 1
"""
)

EXPIRE = (
    _PRELUDE
    + """
-- ARGV: now_us, kept_ms, charge (1 or 0), how names of gauges begin. Gives hold, owner, bucket, amount … a hold.
local charge, gauge, told = ARGV[3] == '1', ARGV[4], {}
for _, hold in ipairs(redis.call('ZRANGEBYSCORE', holds, '-inf', ARGV[1])) do
  local key = prefix .. 'hold:' .. hold
  local one = {hold, redis.call('HGET', key, 'owner') or ''}
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local bucket, amount = string.sub(fields[i], 3), fields[i + 1]
    if string.sub(fields[i], 1, 2) == 'a:' then
      local charged = charge and string.sub(bucket, 1, #gauge) ~= gauge
      if amount ~= '0' then
        one[#one + 1] = bucket
        one[#one + 1] = amount
        spend(key, '0', bucket, charged and amount or '0', amount)
      end
      if charged then redis.call('HSET', key, fields[i], amount) else redis.call('HDEL', key, fields[i]) end
    end
  end
  remember_ended(key, hold, charge and '2' or '3', ARGV[2])
  told[#told + 1] = one
end
return told
"""
)
