import CKernels

/// The two experts that SparseMixer (Liu, Gao & Chen 2023) takes at inference.
///
/// Each is the best of those left, with the probability that a softmax gives it over the logits within a relative
/// distance of 2 · jitter from its own; the two weights do not add up to one. Source: Hugging Face transformers
/// `modeling_phimoe.py`, `sparsemixer`.
/// - Parameter scores: scratch for `experts` values.
func sparseMixer(
    _ logits: UnsafePointer<Float>, _ experts: Int, jitter: Float, ids: UnsafeMutablePointer<Int32>,
    weights: UnsafeMutablePointer<Float>, _ scores: UnsafeMutablePointer<Float>
) {
    var first = -1
    for rank in 0..<2 {
        var best = -1
        for expert in 0..<experts where expert != first {
            if best < 0 || logits[expert] > logits[best] { best = expert }
        }
        let top = logits[best]
        for expert in 0..<experts {
            let distance = (top - logits[expert]) / max(abs(logits[expert]), top)
            scores[expert] = expert == first || distance > 2 * jitter ? -.infinity : logits[expert]
        }
        ck_softmax(scores, experts)
        ids[rank] = Int32(truncatingIfNeeded: best)
        weights[rank] = scores[best]
        first = best
    }
}
