/// IEEE 754 binary32.
enum F32: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] { [Float(bitPattern: block.uint32(0))] }
}

/// IEEE 754 binary16.
enum F16: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] { [block.float16(0)] }
}

/// The upper half of a binary32.
enum BF16: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] { [Float(bitPattern: UInt32(block.uint16(0)) << 16)] }
}
