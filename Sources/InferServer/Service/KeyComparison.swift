/// Whether a key is the one that was given. How many bytes of the two are looked at depends on their lengths alone, not
/// on where they begin to differ, so that the time of an answer tells nothing about a right key. Nobody knows the empty
/// key.
func isSameKey(_ key: some RandomAccessCollection<UInt8>, _ given: some RandomAccessCollection<UInt8>) -> Bool {
    guard !key.isEmpty else { return false }
    var difference: UInt8 = key.count == given.count ? 0 : 1
    for offset in 0..<key.count {
        let byte = offset < given.count ? given[given.index(given.startIndex, offsetBy: offset)] : 0
        difference |= key[key.index(key.startIndex, offsetBy: offset)] ^ byte
    }
    return difference == 0
}
