package import CKernels

/// The ways in which some weights want their activations prepared.
package struct ActivationKinds: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package init(_ kind: ck_act) { self.init(rawValue: 1 << UInt8(kind.rawValue)) }
    package init(_ first: Weight, _ second: Weight? = nil, _ third: Weight? = nil, _ fourth: Weight? = nil) {
        self.init(first.format.activation)
        if let second { formUnion(ActivationKinds(second.format.activation)) }
        if let third { formUnion(ActivationKinds(third.format.activation)) }
        if let fourth { formUnion(ActivationKinds(fourth.format.activation)) }
    }
}

/// Rows of activations, quantized or rounded once for every kind of weight that will be multiplied with them.
/// Valid as long as the workspace and the matrix it was made from.
package struct Activations: @unchecked Sendable {
    /// What was prepared, (rows, cols).
    let source: Matrix
    /// Per `ck_act`: the first prepared row and the bytes from one to the next; nil if not prepared.
    private var floats: Prepared?
    private var halves: Prepared?
    private var groupsOf32: Prepared?
    private var groupsOf256: Prepared?

    struct Prepared {
        let pointer: UnsafeMutableRawPointer
        let stride: Int
    }

    init(_ source: Matrix) {
        self.source = source
    }

    package var rows: Int { source.rows }
    package var cols: Int { source.cols }

    subscript(kind: ck_act) -> Prepared? {
        get {
            switch kind {
            case CK_ACT_F32: floats
            case CK_ACT_BF16: halves
            case CK_ACT_Q8_32: groupsOf32
            default: groupsOf256
            }
        }
        set {
            switch kind {
            case CK_ACT_F32: floats = newValue
            case CK_ACT_BF16: halves = newValue
            case CK_ACT_Q8_32: groupsOf32 = newValue
            default: groupsOf256 = newValue
            }
        }
    }
}
