// An error that is an answer to a client, in AWS's shape: `__type`, message, HTTP status.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html

/** Thrown by an operation; the server turns it into the answer. */
export class KmsError extends Error {
  override readonly name = 'KmsError'
  /** AWS's name of the error, e.g. `AccessDeniedException`. */
  readonly type: string
  readonly status: number

  constructor(type: string, message: string, status = 400) {
    super(message)
    this.type = type
    this.status = status
  }
}

/** The answer to a request that is not served: it is not known whose it is, or its sender sends too many. */
export class UnservedError extends KmsError {
  constructor({ type, message, status }: KmsError) {
    super(type, message, status)
  }
}

/** A field of the request that breaks a rule of AWS's model. */
export function invalid(message: string): KmsError {
  return new KmsError('ValidationException', message)
}

/** Something that AWS has and this broker does not. */
export function unsupported(message: string): KmsError {
  return new KmsError('UnsupportedOperationException', message)
}
