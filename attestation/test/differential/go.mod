module nitrite-differential

go 1.17

require github.com/hf/nitrite v0.0.0-20241225144000-c2d5d3c4f303

require (
	github.com/fxamacker/cbor/v2 v2.2.0 // indirect
	github.com/x448/float16 v0.8.4 // indirect
)
