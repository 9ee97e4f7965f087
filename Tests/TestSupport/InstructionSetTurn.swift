package import Foundation

/// The choice of an instruction set is global to the process: tests that make one take turns. Every other test may
/// run meanwhile, because results do not depend on the choice.
package let instructionSetTurn = NSRecursiveLock()
