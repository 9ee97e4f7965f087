/// The operations a model's forward pass is made of, each parallel over all threads.
///
/// Every operation splits its work by the shapes of its operands only, and each output value is made by one fixed
/// sequence of float steps. So its bits depend neither on the number of threads, nor on what else is in the batch,
/// nor on the instruction set.
///
/// Operations allocate nothing: temporary memory comes from the ``Workspace`` that the caller hands in, or from
/// the threads' own scratch memory.
package final class Compute: Sendable {
    let pool: ThreadPool
    let observer: (any ComputeObserver)?

    /// - Parameters:
    ///   - threads: how many threads work, the caller included.
    ///   - observer: sees what products and routers get.
    package init(threads: Int, observer: (any ComputeObserver)? = nil) {
        pool = ThreadPool(threads: threads)
        self.observer = observer
    }

    package var threads: Int { pool.threads }

    /// How often the threads' scratch memory had to grow. It stops once every shape has run.
    package var growths: Int { pool.growths }

    /// Runs `body` once for every index, on all threads: for work beside the operations, such as choosing the next
    /// tokens of several sequences. It must not compute with this object itself.
    package func forEach(_ count: Int, _ body: @escaping (Int) -> Void) {
        pool.run(count, body) { body, indices, _ in
            for index in indices { body(index) }
        }
    }

    /// Rows per chunk so that one chunk is worth handing to another thread: about 16 k values.
    @inline(__always)
    static func grain(_ valuesPerItem: Int) -> Int { max(1, 16_384 / max(valuesPerItem, 1)) }
}
