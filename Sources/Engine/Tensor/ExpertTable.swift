/// Experts by token id (DeepSeek-V4's hash layers): `perToken` of them for each.
package final class ExpertTable: @unchecked Sendable {
    package let perToken: Int
    private let ids: UnsafeMutableBufferPointer<Int32>  // never written after init

    /// The caller has checked that the experts exist.
    package init(_ ids: [Int32], perToken: Int) {
        self.perToken = perToken
        self.ids = .allocate(capacity: ids.count)
        _ = self.ids.initialize(from: ids)
    }

    deinit { ids.deallocate() }

    func experts(of token: Int32) -> UnsafePointer<Int32>? {
        ids.baseAddress.map { UnsafePointer($0) + Int(token) * perToken }
    }
}
