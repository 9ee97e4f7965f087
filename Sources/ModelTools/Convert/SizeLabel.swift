import Foundation
import GGUF

/// `general.size_label`: "7.2B", or "128x290M" for a mixture (experts × the weights of one and of all that is shared), as
/// the `gguf` package writes it.
enum SizeLabel {
    static func text(_ items: [Blueprint.Item]) -> String {
        var (shared, expert, stacks, experts) = (0, 0, 0, 0)
        for item in items {
            let count = item.dimensions.reduce(1, *)
            if item.name.contains("_exps."), let members = item.dimensions.last, members > 0 {
                expert += count / members
                experts += members
                stacks += 1
            } else {
                shared += count
            }
        }
        return stacks == 0 ? rounded(shared) : "\(experts / stacks)x\(rounded(shared + expert))"
    }

    /// Two digits, or all that stand before the point.
    static func rounded(_ count: Int) -> String {
        let scales = [(1e12, "T"), (1e9, "B"), (1e6, "M")]
        let (scale, suffix) = scales.first { Double(count) > $0.0 } ?? (1e3, "K")
        let value = Double(count) / scale
        let whole = value.rounded(.toNearestOrEven)
        let digits = whole == 0 ? 0 : "\(Int(whole))".count
        return String(format: "%.\(max(0, 2 - digits))f", value) + suffix
    }
}
