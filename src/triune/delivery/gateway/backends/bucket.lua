-- Gives every request its bucket before Envoy chooses who answers it.
--
-- bucket(salt, unit) is the same function as triune.core.assignment.bucket: MurmurHash3
-- (x86, 32 bits, seed 0) of the CBOR array [salt, unit], scaled to 0..9999. Lua's numbers are
-- doubles, exact up to 2^53; LuaJIT's bit operations take and give 32 bits.

local bit = require("bit")
local band, bxor, lshift, rshift, rol, tobit =
  bit.band, bit.bxor, bit.lshift, bit.rshift, bit.rol, bit.tobit
local byte, char, floor = string.byte, string.char, math.floor

local UNIT = "x-triune-unit"
local BUCKET = "x-triune-bucket"
local SHADOW = "x-triune-shadow"
local NAMESPACE = "triune"

-- The low 32 bits of a product: by 16-bit halves, for the whole one needs 64 bits.
local function multiply(a, b)
  return tobit(band(a, 0xffff) * b + lshift(rshift(a, 16) * b, 16))
end

local function mixed(word)
  return multiply(rol(multiply(word, 0xcc9e2d51), 15), 0x1b873593)
end

-- The last one to three bytes, little-endian; 0 when there are none.
local function tail(text, start, length)
  local word = 0
  for place = length, start + 1, -1 do
    word = bxor(lshift(word, 8), byte(text, place))
  end
  return word
end

local function murmur3(text)
  local length = #text
  local whole = length - length % 4
  local hash = 0
  for place = 1, whole, 4 do
    local a, b, c, d = byte(text, place, place + 3)
    hash = bxor(hash, mixed(bxor(a, lshift(b, 8), lshift(c, 16), lshift(d, 24))))
    hash = tobit(rol(hash, 13) * 5 + 0xe6546b64)
  end
  hash = bxor(hash, mixed(tail(text, whole, length)), length)
  hash = multiply(bxor(hash, rshift(hash, 16)), 0x85ebca6b)
  hash = multiply(bxor(hash, rshift(hash, 13)), 0xc2b2ae35)
  return bxor(hash, rshift(hash, 16)) % 4294967296
end

-- The head of a CBOR text string of so many bytes (RFC 8949, 3.1), in its shortest form.
local function head(length)
  if length < 24 then
    return char(0x60 + length)
  elseif length < 0x100 then
    return char(0x78, length)
  elseif length < 0x10000 then
    return char(0x79, floor(length / 0x100), length % 0x100)
  end
  return char(0x7a, floor(length / 0x1000000), floor(length / 0x10000) % 0x100,
    floor(length / 0x100) % 0x100, length % 0x100)
end

local function bucket(salt, unit)
  local hash = murmur3("\130" .. head(#salt) .. salt .. head(#unit) .. unit)
  return floor(hash * 10000 / 4294967296)
end

-- What a caller sent under the names that only the gateway may set. Removed, then added: a
-- header that came twice would be replaced once and then not be taken for a number.
local function only(headers, name, value)
  headers:remove(name)
  if value then
    headers:add(name, value)
  end
end

-- Chance comes from the request's id, which Envoy itself makes anew for every request.
function envoy_on_request(handle)
  local headers, route = handle:headers(), handle:metadata()
  local endpoint = route:get("endpoint")
  if endpoint == nil then
    return
  end
  local unit = headers:getAtIndex(UNIT, 0)
  local chance = headers:get("x-request-id")
  local known = unit ~= nil and unit ~= ""
  local share = route:get("mirror")
  only(headers, BUCKET, tostring(known and bucket(endpoint, unit) or bucket("random", chance)))
  only(headers, SHADOW, share and bucket("mirror", chance) < share and "1" or nil)
  handle:streamInfo():dynamicMetadata():set(NAMESPACE, "stratum", known and "unit" or "anonymous")
  handle:clearRouteCache()
end
